"""Looking into a network: what a unit sees, what a layer finds, how the loss lies around the weights, how errors flow back."""
