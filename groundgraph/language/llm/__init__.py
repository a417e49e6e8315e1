"""Language models as parsers, after LLM4SGG (Kim et al. 2024): triplets of a caption and of its paraphrase, as JSON."""
