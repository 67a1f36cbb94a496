"""What a finding says, what it rests on, and what helps: in English and Chinese."""

from collections.abc import Callable
from typing import Any

from ..records import Finding
from ._limits import SOURCES
from ._phrases import CURES, Pair, cured, shrunk, since, small_steps, stayed

SEVERITIES = {"error": Pair("error", "错误"), "warning": Pair("warning", "警告"), "note": Pair("note", "提示")}
RULES = {
    "not-finite": Pair("not finite", "出现非有限值"),
    "wrong-mode": Pair("wrong mode", "模式有误"),
    "update-ratio": Pair("size of steps", "更新幅度"),
    "signal-at-init": Pair("size of the signal", "信号幅度"),
    "dead-unit": Pair("dead units", "死亡单元"),
    "saturated": Pair("saturated", "饱和"),
    "exploding": Pair("exploding gradient", "梯度爆炸"),
    "vanishing": Pair("vanishing gradient", "梯度消失"),
    "recurrent": Pair("recurrent layer", "循环层"),
    "attention": Pair("attention", "注意力"),
    "constant-units": Pair("outputs all alike", "输出全部相同"),
    "loss-sanity": Pair("loss", "损失"),
    "plateau": Pair("plateau", "平台期"),
}


_CHINESE = {  # of the sources of thresholds
    SOURCES[
        "dead_share"
    ]: "实测：健康的 ReLU 网络遍历一次数据后不超过 15 %；按 torch 默认初始化的深层网络可达 60 %，仅作提示",
    SOURCES["flat_share"]: "Glorot & Bengio 2010, AISTATS：一半输入落在平坦区",
    SOURCES["gradient_ratio"]: "Glorot & Bengio 2010, AISTATS；实测的健康网络相差不超过 1000 倍",
    SOURCES["signal_step"]: "He et al. 2015, arXiv:1502.01852：匹配的初始化使各层幅度不变",
    SOURCES["update_low"]: "Karpathy 2015, CS231n：约 1e-3；取其百分之一",
    SOURCES["update_high"]: "Karpathy 2015, CS231n：约 1e-3；取其两百倍",
    SOURCES["one_batch"]: "Adam 六十步，取两种学习率中较好者",
    SOURCES["loss_factor"]: "一无所知的网络，其损失为 log(类别数)",
    SOURCES["weight_gain"]: "He et al. 2015, arXiv:1502.01852：ReLU 为 1.4，线性层为 1，torch 默认 0.58",
    SOURCES["uniform"]: "权重的熵除以 log(键数)：1 表示毫无选择",
    SOURCES["collapsed"]: "权重的熵除以 log(键数)：0 表示每个查询只看一个键",
    SOURCES["rank"]: "Roy & Vetterli 2007, EUSIPCO：有效秩；小于 1 表示所有样本看起来相同",
    SOURCES["padding"]: "被遮蔽的键权重为 0",
    SOURCES["duplicates"]: "权重相同的单元梯度也相同；读取它们的权重相同时，它们始终相同",
    SOURCES["plateau_steps"]: "健康的训练在几十步内就离开猜测的损失；更新：Karpathy 2015, CS231n：约 1e-3",
    SOURCES["mode"]: "直接查得",
}


def sentence(finding: Finding) -> Pair:
    """What was found, with its numbers."""
    where = _where(finding.layer)
    d = {**finding.details, "value": finding.value, "en": where.en, "zh": where.zh}
    return _said(_SENTENCES, finding, d)


def remedy(finding: Finding) -> Pair:
    """What helps; what would change the finding."""
    return _said(_REMEDIES, finding, {**finding.details, "value": finding.value})


def evidence(finding: Finding) -> Pair:
    """The number against its threshold, the threshold's source, and how many examples were seen."""
    source, chinese = finding.source, _CHINESE.get(finding.source, finding.source)
    if finding.threshold == 0.0:
        return Pair(f"{finding.samples:,} examples; {source}", f"{finding.samples:,} 个样本；{chinese}")
    number = f"{finding.value:.3g}"
    return Pair(
        f"{number} against a threshold of {finding.threshold:.3g}; {finding.samples:,} examples; {source}",
        f"{number}，阈值 {finding.threshold:.3g}；{finding.samples:,} 个样本；{chinese}",
    )


def _where(layer: str) -> Pair:
    return Pair(f"in {layer}", f"在 {layer} 处") if layer else Pair("in the network as a whole", "在整个网络")


def _said(texts: dict[Any, Any], finding: Finding, values: dict[str, Any]) -> Pair:
    what = finding.details.get("what")
    found: Callable[[dict[str, Any]], tuple[str, str]] = texts.get((finding.rule, what)) or texts[finding.rule, None]
    return Pair(*found(values))


_SENTENCES: dict[tuple[str, Any], Callable[[dict[str, Any]], tuple[str, str]]] = {
    ("not-finite", "weight"): lambda d: (f"the weights {d['en']} hold NaN or infinity ({d['name']})", f"{d['zh']}的权重含有 NaN 或无穷（{d['name']}）"),
    ("not-finite", "input"): lambda d: (f"the inputs of batch {d['batch']} hold NaN or infinity", f"第 {d['batch']} 批的输入含有 NaN 或无穷"),
    ("not-finite", "forward"): lambda d: (f"NaN or infinity comes out {d['en']} first, in batch {d['batch']}, from inputs that are finite", f"NaN 或无穷最先{d['zh']}出现（第 {d['batch']} 批），其输入是有限的"),
    ("not-finite", "backward"): lambda d: (f"on the way back the gradient is not finite at the output {d['en'].replace('in ', 'of ', 1)} first, of all layers with weights: look at what comes after it", f"反向传播时，在所有含权重的层中，梯度最先{d['zh']}的输出处变为非有限值：请检查其后的计算"),
    ("not-finite", "loss"): lambda d: ("the loss is NaN or infinite though all outputs are finite", "输出都有限，但损失为 NaN 或无穷"),
    ("wrong-mode", "mode"): lambda d: (f"{d['kind']} {d['en']} is in {'training' if d['value'] else 'evaluation'} mode, and the network is not, or is being trained", f"{d['zh']}的 {d['kind']} 处于{'训练' if d['value'] else '评估'}模式，与网络不一致"),
    ("wrong-mode", "frozen"): lambda d: (f"{d['count']:,} weights {d['en']} do not learn: requires_grad is False", f"{d['zh']}有 {d['count']:,} 个权重不学习：requires_grad 为 False"),
    ("wrong-mode", "unused"): lambda d: (f"the weights {d['en']} got no gradient: the loss does not depend on them", f"{d['zh']}的权重没有梯度：损失与之无关"),
    ("update-ratio", "high"): lambda d: (f"a step changes the weights {d['en']} by {d['value']:.2g} of their size (all layers, median {d['middle']:.2g})", f"每步使{d['zh']}的权重改变其大小的 {d['value']:.2g}（各层中位数 {d['middle']:.2g}）"),
    ("update-ratio", "low"): lambda d: (f"a step changes the weights {d['en']} by only {d['value']:.2g} of their size (all layers, median {d['middle']:.2g})", f"每步仅使{d['zh']}的权重改变其大小的 {d['value']:.2g}（各层中位数 {d['middle']:.2g}）"),
    ("signal-at-init", "step"): lambda d: (f"the signal changes its size {d['value']:.3g} times {d['en']}", f"信号幅度{d['zh']}变为 {d['value']:.3g} 倍"),
    ("signal-at-init", "total"): lambda d: (f"over {d['layers']} layers the signal becomes {d['value']:.3g} times as large, {d['step']:.3g} times a layer; half of that by {d['en'].removeprefix('in ')}", f"经过 {d['layers']} 层，信号变为 {d['value']:.3g} 倍，每层 {d['step']:.3g} 倍；到 {d['zh'].removeprefix('在 ').removesuffix(' 处')} 已过半"),
    ("signal-at-init", "gain"): lambda d: (f"the weights are too small: each of {d['layers']} layers, by the median, makes its input {d['value']:.2g} times as large, and the gradient likewise; smallest {d['en']}", f"权重过小：{d['layers']} 层（按中位数）每层使输入变为 {d['value']:.2g} 倍，梯度亦然；{d['zh']}最小"),
    ("dead-unit", None): lambda d: (f"{d['dead']:,} of {d['units']:,} units of {d['activation']} {d['en']} are dead: zero output and zero slope on every example" + since(d).en, f"{d['zh']}，{d['activation']} 的 {d['units']:,} 个单元中有 {d['dead']:,} 个死亡：对所有样本输出与斜率皆为零" + since(d).zh),
    ("saturated", None): lambda d: (f"{d['value']:.0%} of the inputs of {d['activation']} {d['en']} lie where it is flat", f"{d['zh']}，{d['activation']} 有 {d['value']:.0%} 的输入落在平坦区"),
    ("exploding", None): lambda d: (f"the gradient is {d['value']:.2g} times as large {d['en']} as at the last layer: {d['factor']:.2f} times a layer on the way back ({d['low']:.2f} to {d['high']:.2f})", f"{d['zh']}的梯度是最后一层的 {d['value']:.2g} 倍：反向每层 {d['factor']:.2f} 倍（{d['low']:.2f} 至 {d['high']:.2f}）"),
    ("exploding", "time"): lambda d: (f"over {d['steps']} steps the gradient {d['en']} grows {d['value']:.2g} times on its way back through time", f"{d['zh']}，梯度沿时间反传 {d['steps']} 步后增大 {d['value']:.2g} 倍"),
    ("vanishing", None): lambda d: (f"the gradient {d['en']} is {d['value']:.2g} of that at the last layer: {d['factor']:.2f} times a layer on the way back ({d['low']:.2f} to {d['high']:.2f})", f"{d['zh']}的梯度只有最后一层的 {d['value']:.2g}：反向每层 {d['factor']:.2f} 倍（{d['low']:.2f} 至 {d['high']:.2f}）"),
    ("recurrent", None): lambda d: (f"the forget gates {d['en']} are open by {d['value']:.2g} on average: the cell forgets at once", f"{d['zh']}的遗忘门平均只开 {d['value']:.2g}：记忆单元立即遗忘"),
    ("attention", "uniform"): lambda d: (f"all {d['heads']} heads {d['en']} look at every key alike (entropy {d['value']:.4f} of its largest)", f"{d['zh']}的全部 {d['heads']} 个头对所有键一视同仁（熵为最大值的 {d['value']:.4f}）"),
    ("attention", "collapsed"): lambda d: (f"all {d['heads']} heads {d['en']} look at one key each (entropy {d['value']:.4f} of its largest)", f"{d['zh']}的全部 {d['heads']} 个头各只看一个键（熵为最大值的 {d['value']:.4f}）"),
    ("attention", "padding"): lambda d: (f"queries {d['en']} give {d['value']:.1%} of their weight to padding", f"{d['zh']}的查询把 {d['value']:.1%} 的权重给了填充位"),
    ("constant-units", "copies"): lambda d: (f"{d['copies']:,} of the {d['units']:,} units {d['en']} have the weights of another one: they compute the same", f"{d['zh']}的 {d['units']:,} 个单元中有 {d['copies']:,} 个与其他单元权重相同：它们的计算完全一样"),
    ("constant-units", None): lambda d: (f"the {d['units']:,} outputs {d['en']} are the same for every example", f"{d['zh']}的 {d['units']:,} 个输出对所有样本都相同"),
    ("loss-sanity", "start"): lambda d: (f"the loss is {d['value']:.3g}, and guessing by how frequent the classes are gives {d['guess']:.3g}", f"损失为 {d['value']:.3g}，而按类别频率猜测为 {d['guess']:.3g}"),
    ("loss-sanity", "batch"): lambda d: (f"not even one batch can be learnt by heart: its loss goes from {d['before']:.3g} to {d['value']:.3g}", f"连一批数据都记不住：其损失从 {d['before']:.3g} 到 {d['value']:.3g}"),
    ("loss-sanity", "labels"): lambda d: (f"one batch can be learnt by heart, but nothing that holds for others: {d['value']:.3g} on batches kept out, guessing gives {d['guess']:.3g}", f"单批可以记住，却学不到对其他批有效的规律：留出批损失 {d['value']:.3g}，猜测为 {d['guess']:.3g}"),
    ("plateau", None): lambda d: (stayed(d).en, stayed(d).zh),
    ("plateau", "steps"): lambda d: (stayed(d).en + small_steps(d).en, stayed(d).zh + small_steps(d).zh),
    ("plateau", "slow"): lambda d: (stayed(d).en + small_steps(d).en + shrunk(d).en + cured(d).en, stayed(d).zh + small_steps(d).zh + shrunk(d).zh + cured(d).zh),
}  # fmt: skip
_REMEDIES: dict[tuple[str, Any], Callable[[dict[str, Any]], tuple[str, str]]] = {
    ("not-finite", "weight"): lambda d: ("go back to weights that are finite; lower the rate or clip gradients before going on", "恢复有限的权重；继续之前降低学习率或裁剪梯度"),
    ("not-finite", "input"): lambda d: ("clean the data: find and remove or fill what is missing", "清理数据：找出并删除或填补缺失值"),
    ("not-finite", None): lambda d: ("look at what this layer computes: a logarithm or root of what may be negative, a division by what may be zero, an exponential without bound", "检查该层的计算：对负数取对数或开方、除以零、无界的指数"),
    ("wrong-mode", "mode"): lambda d: ("call model.train() before training and model.eval() before evaluating", "训练前调用 model.train()，评估前调用 model.eval()"),
    ("wrong-mode", "frozen"): lambda d: ("set requires_grad_(True) if these weights are to learn; else ignore this", "若这些权重应当学习，设 requires_grad_(True)；否则可忽略"),
    ("wrong-mode", "unused"): lambda d: ("use the layer in forward, or remove it", "在 forward 中使用该层，或将其删除"),
    ("update-ratio", "high"): lambda d: ("lower the learning rate", "降低学习率"),
    ("update-ratio", "low"): lambda d: ("raise the learning rate", "提高学习率"),
    ("signal-at-init", None): lambda d: ("start the weights with the gain that matches the activation (He for ReLU and its like, Xavier for tanh and sigmoid), or normalise", "用与激活函数匹配的增益初始化（ReLU 类用 He，tanh 与 sigmoid 用 Xavier），或加归一化"),
    ("dead-unit", None): lambda d: ("leaky ReLU, PReLU, ELU or GELU instead; biases at zero; He initialisation; a lower rate", "改用 leaky ReLU、PReLU、ELU 或 GELU；偏置置零；He 初始化；降低学习率"),
    ("saturated", None): lambda d: ("smaller weights at the start, normalised inputs or a normalisation layer before it, or an activation that does not saturate", "减小初始权重、归一化输入或在其前加归一化层，或换用不饱和的激活函数"),
    ("exploding", "time"): lambda d: ("clip the gradient's norm, shrink the recurrent weights, or use an LSTM or GRU", "裁剪梯度范数、减小循环权重，或改用 LSTM、GRU"),
    ("exploding", None): lambda d: ("a smaller gain at the start, normalisation, or clipping", "减小初始增益、加归一化或裁剪梯度"),
    ("vanishing", None): lambda d: ("an activation of the ReLU family with He initialisation, residual connections, or normalisation", "改用 ReLU 类激活并作 He 初始化、残差连接或归一化"),
    ("plateau", "slow"): lambda d: (f"{' or '.join(CURES[one][0].en for one in d['cures'])}; else momentum or a higher rate. One at a time: together they make the first steps too large", f"{'，或'.join(CURES[one][0].zh for one in d['cures'])}；否则用动量或更高的学习率。一次只用一种：同时使用会使最初的步子过大"),
    ("plateau", None): lambda d: ("a higher rate, momentum, a start of the weights and inputs that fit; wait, if it is on its way down", "提高学习率、使用动量、匹配的初始化与输入；若已开始下降，可再等等"),
    ("recurrent", None): lambda d: ("start the bias of the forget gates at 1", "将遗忘门偏置初始化为 1"),
    ("attention", "padding"): lambda d: ("give the layer the mask of the padding (key_padding_mask, or attn_mask)", "把填充掩码交给该层（key_padding_mask 或 attn_mask）"),
    ("attention", "uniform"): lambda d: ("start the query and key weights other than zero, and check that positions and inputs differ", "查询与键的权重不应为零，并检查位置与输入是否有差别"),
    ("attention", "collapsed"): lambda d: ("divide the scores by the root of the head's width, normalise the inputs, or start with smaller weights", "将分数除以头宽的平方根、归一化输入，或减小初始权重"),
    ("constant-units", None): lambda d: ("start the weights at random, each unit otherwise; check that the inputs differ", "随机初始化权重，使各单元不同；检查输入是否有差别"),
    ("loss-sanity", "start"): lambda d: ("make the last layer's weights smaller at the start; check that the loss wants what the network gives (logits, not probabilities)", "减小最后一层的初始权重；检查损失所需与网络输出是否一致（logits 而非概率）"),
    ("loss-sanity", "batch"): lambda d: ("check that loss, targets and outputs belong together", "检查损失、目标与输出是否对应"),
    ("loss-sanity", "labels"): lambda d: ("check that each label belongs to its input: the order of files, a shuffle of one and not of the other", "检查标签与输入是否对应：文件顺序，或只打乱了其中之一"),
}  # fmt: skip
