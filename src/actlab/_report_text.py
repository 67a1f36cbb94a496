"""Every text of the report, in English and Chinese, and how a text becomes HTML."""

from html import escape
from typing import NamedTuple

from .records import Run


class Both(NamedTuple):
    """One plain text in both languages; escaped only when it becomes HTML."""

    en: str
    zh: str


def text(key: str, **values: object) -> Both:
    """The text under `key`, with `values` put in; a value may itself be in both languages."""
    en, zh = TEXTS[key]
    english = {name: value.en if isinstance(value, Both) else value for name, value in values.items()}
    chinese = {name: value.zh if isinstance(value, Both) else value for name, value in values.items()}
    return Both(en.format(**english), zh.format(**chinese))


def html(value: Both | object) -> str:
    """Escaped, with one <span> for each language where the two differ."""
    if not isinstance(value, Both):
        return escape(str(value))
    if value.en == value.zh:
        return escape(value.en)
    return f'<span class="en" lang="en">{escape(value.en)}</span><span class="zh" lang="zh">{escape(value.zh)}</span>'


def class_name(run: Run, index: int) -> Both:
    """The name of a class; its number where the data have no names."""
    name = run.data.classes[index] if index < len(run.data.classes) else str(index)
    return Both(name, CLASSES.get(name, name))


def things(run: Run) -> Both:
    """What an example is."""
    return text("images" if len(run.data.example_shape) == 3 else "examples")


def result_sentence(run: Run) -> Both:
    """The one sentence that says how it went."""
    where = f"{run.machine.processor} ({run.machine.device})"
    facts = {"examples": f"{run.examples:,}", "seconds": seconds(run.clock.training), "machine": where}
    if run.test is None:
        return text(f"result.{run.status}", **facts, step=f"{run.steps:,}")
    facts |= {"count": f"{run.test.count:,}", "things": things(run)}
    if run.test.accuracy is None:
        main = next(iter(run.test.scores.items()), None)
        if main is not None:
            return text("result.score", name=score_name(main[0]), value=f"{main[1]:.4g}", **facts)
        return text("result.loss", loss=f"{run.test.loss:.4g}", unit=loss_unit(run), **facts)
    return text("result.accuracy", accuracy=f"{run.test.accuracy:.3f}", **facts)


def loss_unit(run: Run) -> Both:
    """What a loss of 1 means."""
    return Both(run.loss_unit, UNITS.get(run.loss_unit, run.loss_unit))


def score_name(name: str) -> Both:
    """The name of a score, with the steps ahead that it ends in."""
    known, _, steps = name.rpartition("_")
    if known in SCORES and steps.isdecimal():
        found = SCORES[known]
        return Both(f"{found.en}, {steps} steps ahead", f"{found.zh}，提前 {steps} 步")
    plain = name.replace("_", " ")
    return SCORES.get(name, Both(plain, plain))


def seconds(value: float) -> str:
    """Seconds with three digits that count, and never fewer than the whole seconds."""
    return f"{value:,.0f} s" if value >= 100 else f"{value:.3g} s"


CLASSES = {
    "T-shirt/top": "T恤",
    "Trouser": "裤子",
    "Pullover": "套头衫",
    "Dress": "连衣裙",
    "Coat": "外套",
    "Sandal": "凉鞋",
    "Shirt": "衬衫",
    "Sneaker": "运动鞋",
    "Bag": "包",
    "Ankle boot": "短靴",
}

UNITS = {
    "nats per example": "奈特/样本",
    "nats per sentence": "奈特/句",
    "nats per character": "奈特/字符",
    "nats per answer": "奈特/答案",
    "nats per node": "奈特/节点",
    "squared standard deviations": "标准差的平方",
}
SCORES = {
    "slot_f1": Both("slot F1 (spans)", "槽位 F1（按片段）"),
    "intent_accuracy": Both("intent accuracy", "意图准确率"),
    "sentence_accuracy": Both("sentences right throughout", "整句正确率"),
    "bits_per_character": Both("bits per character", "每字符比特数"),
    "chrf": Both("chrF, per cent", "chrF（百分比）"),
    "bleu": Both("BLEU, per cent", "BLEU（百分比）"),
    "wer": Both("word error rate", "词错误率"),
    "per": Both("phoneme error rate", "音素错误率"),
    "rmse": Both("root mean squared error", "均方根误差"),
    "mase": Both("mean absolute scaled error", "平均绝对标度误差"),
    "persistence": Both("RMSE of persistence (the last value stays)", "持续预测的均方根误差（保持上一个值）"),
    "linear": Both("RMSE of the linear ARX", "线性 ARX 的均方根误差"),
    "linear_plain": Both("RMSE of the linear ARX of the series untransformed", "未变换序列上线性 ARX 的均方根误差"),
}

TEXTS = {
    "images": ("images", "张图像"),
    "examples": ("examples", "个样本"),
    "count": ("{count} examples", "{count} 个样本"),
    "status.running": ("running", "运行中"),
    "status.finished": ("finished", "已完成"),
    "status.interrupted": ("interrupted", "已中断"),
    "status.failed": ("failed", "失败"),
    "result.accuracy": (
        "Test accuracy {accuracy} on {count} {things} after {examples} training examples, {seconds} of training on {machine}.",
        "测试准确率 {accuracy}（{count} {things}），训练样本 {examples} 个，训练用时 {seconds}，机器：{machine}。",
    ),
    "result.score": (
        "Test: {name} {value} on {count} {things} after {examples} training examples, {seconds} of training on {machine}.",
        "测试：{name} {value}（{count} {things}），训练样本 {examples} 个，训练用时 {seconds}，机器：{machine}。",
    ),
    "result.loss": (
        "Test loss {loss} {unit} on {count} {things} after {examples} training examples, {seconds} of training on {machine}.",
        "测试损失 {loss} {unit}（{count} {things}），训练样本 {examples} 个，训练用时 {seconds}，机器：{machine}。",
    ),
    "result.finished": (
        "Finished without a test after {examples} training examples, {seconds} of training on {machine}.",
        "训练已完成，未做测试：训练样本 {examples} 个，训练用时 {seconds}，机器：{machine}。",
    ),
    "result.running": (
        "Still running when this page was written: step {step}, {examples} training examples, {seconds} of training on {machine}.",
        "本页写成时仍在训练：第 {step} 步，训练样本 {examples} 个，已训练 {seconds}，机器：{machine}。",
    ),
    "result.interrupted": (
        "Interrupted at step {step}, before the test: {examples} training examples, {seconds} of training on {machine}.",
        "在第 {step} 步中断，尚未测试：训练样本 {examples} 个，已训练 {seconds}，机器：{machine}。",
    ),
    "result.failed": (
        "Failed at step {step}, before the test: {examples} training examples, {seconds} of training on {machine}.",
        "在第 {step} 步失败，尚未测试：训练样本 {examples} 个，已训练 {seconds}，机器：{machine}。",
    ),
    "interval": (
        "95 % interval of the accuracy: {low:.3f} to {high:.3f} (Wilson, {count} {things}).",
        "准确率的 95 % 置信区间：{low:.3f} 至 {high:.3f}（Wilson，{count} {things}）。",
    ),
    "fact.model": ("Model", "模型"),
    "fact.activation": ("Activation", "激活函数"),
    "fact.seed": ("Seed", "随机种子"),
    "fact.date": ("Started", "开始时间"),
    "fact.epochs": ("Epochs done", "已完成轮数"),
    "fact.best": ("Best epoch (validation)", "最佳轮次（验证集）"),
    "fact.resumed": ("Resumed", "续训次数"),
    "fact.replay": ("Replay", "重现命令"),
    "model": ("{name}, {parameters} parameters", "{name}，{parameters} 个参数"),
    "model.cost": (
        "{name}, {parameters} parameters, {cost} multiply-adds an example",
        "{name}，{parameters} 个参数，每样本 {cost} 次乘加",
    ),
    "curves.title": ("Curves", "训练曲线"),
    "curves.axis": (
        "All against training examples seen; the numbers on top are epochs, those in the legends the last values.",
        "横轴均为已训练的样本数；上方数字为轮次，图例中的数字为最后的值。",
    ),
    "curves.smooth": (
        "{axis} The thin line is what was written during training, the thick one its running mean.",
        "{axis}细线为训练中记录的原始值，粗线为其滑动平均。",
    ),
    "curves.empty": (
        "Nothing was recorded yet: no step and no epoch was finished.",
        "尚无记录：还没有完成任何一步或一轮。",
    ),
    "curve.loss": ("Loss, {unit}", "损失（{unit}）"),
    "curve.logarithmic": ("Loss, {unit}, on a logarithmic axis", "损失（{unit}），对数坐标"),
    "curve.accuracy": ("Accuracy", "准确率"),
    "curve.rate": ("Learning rate", "学习率"),
    "curve.gradient": ("Gradient norm before clipping", "裁剪前的梯度范数"),
    "curve.clipped": (
        "Gradient norm (upper), share of clipped steps (lower)",
        "梯度范数（上），被裁剪步数的比例（下）",
    ),
    "axis.examples": ("training examples seen", "已训练样本数"),
    "part.training": ("training", "训练"),
    "part.validation": ("validation", "验证"),
    "part.test": ("test", "测试"),
    "speed.title": ("Speed", "速度"),
    "speed.compute": ("examples/s by the study notes' clock", "样本/秒（按学习笔记的计时）"),
    "speed.compute.what": (
        "{examples} examples in {seconds}: forward pass, backward pass and optimizer step alone. Compare this one with the notes.",
        "{examples} 个样本，{seconds}：只计前向、反向和优化器更新。与笔记比较时用这个数。",
    ),
    "speed.total": ("examples/s by the wall clock", "样本/秒（按实际时间）"),
    "speed.total.what": (
        "{examples} examples in {seconds}: everything from start to report, data, checkpoints and tests included. This is how long you wait.",
        "{examples} 个样本，{seconds}：从启动到写出报告的全部时间，包括数据、检查点和测试。这才是您等待的时间。",
    ),
    "speed.where": ("Where the {seconds} went", "{seconds} 用在哪里"),
    "kind.compute": ("forward, backward, step", "前向、反向、更新"),
    "kind.waiting": ("rest of the training loop (data, checkpoints)", "训练循环其余部分（数据、检查点）"),
    "kind.evaluation": ("validation and test", "验证和测试"),
    "kind.other": ("start, loading, report", "启动、加载、报告"),
    "classes.title": ("Test result by class", "各类别的测试结果"),
    "classes.weakest": (
        "The weakest class is {name}: F1 {f1:.3f}.",
        "最弱的类别是“{name}”：F1 为 {f1:.3f}。",
    ),
    "classes.weak": ("weakest", "最弱"),
    "class": ("Class", "类别"),
    "precision": ("Precision", "精确率"),
    "recall": ("Recall", "召回率"),
    "support": ("Support", "样本数"),
    "confusion.title": ("Confusion matrix", "混淆矩阵"),
    "confusion.true": ("true class", "真实类别"),
    "confusion.predicted": ("predicted class", "预测类别"),
    "confusion.pair": (
        "Most confused: {truth} taken for {predicted}, {count} of {total} ({share:.1%}); the other way round {back}.",
        "最易混淆：“{truth}”被认作“{predicted}”，{total} 个中有 {count} 个（{share:.1%}）；反过来 {back} 个。",
    ),
    "confusion.perfect": ("No example was put into a wrong class.", "没有样本被分错类别。"),
    "confusion.how": (
        "Rows: true class; columns: predicted class; counts of test examples. Blue: right; orange: wrong, coloured by the square root of the share of its row, so that rare mistakes stay visible.",
        "行：真实类别；列：预测类别；数字为测试样本数。蓝色：正确；橙色：错误，深浅按所占行比例的平方根，使少见的错误也可见。",
    ),
    "filters.title": ("First-layer filters", "第一层卷积核"),
    "units.title": ("First-layer weights", "第一层权重"),
    "filters.how": (
        "{which} filters of {name}, {size} weights each. Each is scaled on its own: zero is middle gray.",
        "{name} 的{which}卷积核，每个 {size} 个权重。每个单独缩放：零为中灰。",
    ),
    "units.how": (
        "{which} units of {name}, {size} weights each, laid out as the picture they look at. Each is scaled on its own: zero is middle gray.",
        "{name} 的{which}单元，每个 {size} 个权重，按所看图像的位置排列。每个单独缩放：零为中灰。",
    ),
    "filters.all": ("{total}", " {total} 个"),
    "filters.some": ("The first {shown} of {total}", "前 {shown} 个（共 {total} 个）"),
    "filters.broken": (
        "Some of these weights are not finite numbers; they are drawn as zero.",
        "其中有非有限的权重，按零画出。",
    ),
    "filters.damaged": ("model.safetensors could not be read: {reason}", "无法读取 model.safetensors：{reason}"),
    "mistakes.title": ("Worst mistakes", "最严重的错误"),
    "mistakes.how": (
        "Test examples that got a wrong class with the most confidence. Under each: true class, predicted class, and the probability given to the prediction.",
        "以最大把握分错的测试样本。图下依次为：真实类别、预测类别、给预测类别的概率。",
    ),
    "mistake": ("{truth}, taken for {predicted}", "{truth}，被认作{predicted}"),
    "scores.title": ("Scores on the test part", "测试部分的得分"),
    "scores.how": (
        "Errors are in the unit of the series; steps ahead are forecast in closed loop, from the network's own outputs.",
        "误差单位与序列相同；多步预测为闭环，即使用网络自己的输出。",
    ),
    "epochs.title": ("All epochs", "全部轮次"),
    "epoch": ("Epoch", "轮次"),
    "step": ("Step", "步数"),
    "column.examples": ("Examples", "样本数"),
    "learning_rate": ("Learning rate", "学习率"),
    "train_loss": ("Training loss", "训练损失"),
    "train_accuracy": ("Training accuracy", "训练准确率"),
    "validation_loss": ("Validation loss", "验证损失"),
    "validation_accuracy": ("Validation accuracy", "验证准确率"),
    "test_loss": ("Test loss", "测试损失"),
    "test_accuracy": ("Test accuracy", "测试准确率"),
    "gradient_norm": ("Gradient norm", "梯度范数"),
    "clipped_share": ("Clipped steps", "裁剪步数比例"),
    "epochs.best": (
        "Losses in {unit}. ★ marks the best epoch, chosen on validation data.",
        "损失单位：{unit}。★ 为按验证集选出的最佳轮次。",
    ),
    "epochs.units": ("Losses in {unit}.", "损失单位：{unit}。"),
    "settings.title": ("Settings", "设置"),
    "machine.title": ("Machine", "机器"),
    "data.title": ("Data", "数据"),
    "processor": ("Processor", "处理器"),
    "cores": ("Cores", "核心数"),
    "threads": ("Threads", "线程数"),
    "memory": ("Memory", "内存"),
    "device": ("Device", "设备"),
    "processes": ("Processes", "进程数"),
    "system": ("System", "系统"),
    "name": ("Name", "名称"),
    "class_count": ("Classes", "类别数"),
    "example_shape": ("Shape of one example", "单个样本的形状"),
    "licence": ("Licence", "许可"),
    "attribution": ("Attribution", "出处"),
    "footer.diagnosis": (
        "Written by Actlab {version}. The page needs no network.",
        "由 Actlab {version} 写成。本页不需要网络。",
    ),
    "footer.comparison": (
        "Written by Actlab {version} from comparison.json. The page needs no network.",
        "由 Actlab {version} 根据 comparison.json 写成。本页不需要网络。",
    ),
    "footer": (
        "Written by Actlab {version} from run.json, events.jsonl and model.safetensors of this run. The page needs no network.",
        "由 Actlab {version} 根据本次运行的 run.json、events.jsonl 和 model.safetensors 写成。本页不需要网络。",
    ),
}
