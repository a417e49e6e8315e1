"""What a run says about itself: scene graphs drawn on their images, and one HTML file."""
