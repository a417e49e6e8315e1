"""What a run found, in other programs' formats: pseudo labels to train on, predicted scene graphs to look into."""
