"""What fine-tuning did to concepts: matching, shift vectors, and how much of the change they hold."""
