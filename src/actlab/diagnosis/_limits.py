"""The limits at which rules speak, and where they come from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Thresholds:
    """Where a rule speaks; each can be set. `SOURCES` says where they come from."""

    dead_share: float = 0.3  # of the units of a layer
    flat_share: float = 0.5  # of the inputs of an activation
    gradient_ratio: float = 1e-4  # first layer over last, or the reverse
    signal_step: float = 30.0  # from one layer to the next, either way
    signal_total: float = 1e3  # over all layers, either way
    update_low: float = 1e-5
    update_high: float = 0.2
    loss_factor: float = 2.0  # of guessing
    one_batch: float = 0.7  # of the loss on it before it is learnt by heart
    uniform: float = 0.9999  # entropy over its largest
    collapsed: float = 0.1
    weight_gain: float = 0.2
    rank: float = 0.5
    lag_ratio: float = 1e4
    forget: float = 0.05
    padding: float = 0.01  # of the weights of a query that is none itself
    plateau_steps: float = 50.0
    plateau_width: float = 0.03  # of the loss
    update_usual: float = 1e-3


SOURCES = {
    "dead_share": "measured: healthy ReLU networks have fewer than 15 % after a full pass; deep ones as torch starts them up to 60 %, which is only noted",
    "flat_share": "Glorot & Bengio 2010, AISTATS: half of the inputs on the flat part",
    "gradient_ratio": "Glorot & Bengio 2010, AISTATS; the measured healthy networks stay within a factor of 1000",
    "signal_step": "He et al. 2015, arXiv:1502.01852: a matched start keeps the size from layer to layer",
    "signal_total": "He et al. 2015, arXiv:1502.01852: a matched start keeps the size from layer to layer",
    "update_low": "Karpathy 2015, CS231n: about 1e-3; a hundredth of it",
    "update_high": "Karpathy 2015, CS231n: about 1e-3; two hundred times as much",
    "one_batch": "sixty steps of Adam at the better of two rates",
    "loss_factor": "a network that knows nothing has a loss of log(classes)",
    "weight_gain": "He et al. 2015, arXiv:1502.01852: 1.4 for ReLU, 1 for linear layers, 0.58 as torch starts them",
    "uniform": "entropy of the weights over log(keys): 1 is no choice at all",
    "collapsed": "entropy of the weights over log(keys): 0 is one key for every query",
    "rank": "Roy & Vetterli 2007, EUSIPCO: effective rank; below 1 all samples look alike",
    "lag_ratio": "Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063",
    "forget": "Gers, Schmidhuber & Cummins 2000, Neural Computation 12(10)",
    "padding": "a masked key has the weight 0",
    "duplicates": "units with the same weights have the same gradient, and stay the same while what reads them is the same",
    "plateau_steps": "healthy trainings leave the loss of guessing within some tens of steps; update: Karpathy 2015, CS231n: about 1e-3",
    "mode": "as found",
}
