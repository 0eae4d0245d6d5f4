"""What fine-tuning did to concepts: matching, shift vectors, and how much they recover."""
