"""What a training needs besides the model. lstm.py enters."""
