"""Choose, train and debug neural networks with the activation function as the first-class, swappable part."""
__version__ = "0.1.0"
