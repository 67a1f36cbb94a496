"""Pieces of words: a vocabulary of frequent character sequences learnt from sentences, by SentencePiece.

pieces = Pieces.learn(["I love you.", "You love me."], 30)
pieces.split("I love you.")  # ['▁I', '▁love', '▁you', '.']
"""

import base64
import io
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from actlab._language import say
from actlab.errors import ActlabError, UsageError, first_line


class Pieces:
    """A trained vocabulary; `state` is text from which it is made again.

    A unigram model: a sentence is cut into the pieces of the highest probability. Whatever was seen in training can be written, for
    every character is a piece too. Source: Kudo 2018, arXiv:1804.10959; library: SentencePiece (Kudo & Richardson 2018).
    """

    def __init__(self, state: str):
        self.state = state

    @classmethod
    def learn(cls, sentences: Sequence[str], size: int) -> "Pieces":
        """At most `size` pieces; fewer where the sentences do not give so many. Raises UsageError when characters alone are more."""
        written = io.BytesIO()
        try:
            _library().SentencePieceTrainer.train(
                sentence_iterator=iter(sentences), model_writer=written, vocab_size=size, hard_vocab_limit=False,
                character_coverage=1.0, normalization_rule_name="identity", bos_id=-1, eos_id=-1, num_threads=1, minloglevel=2,
            )  # fmt: skip
        except (RuntimeError, ValueError, OSError) as error:
            raise UsageError(
                say(
                    f"no vocabulary of {size} pieces can be learnt from {len(sentences)} sentences: {first_line(error)}",
                    f"无法从 {len(sentences)} 个句子学出 {size} 个词片：{first_line(error)}",
                )
            ) from None
        return cls(base64.b64encode(written.getvalue()).decode())

    @cached_property
    def _model(self) -> Any:
        return _library().SentencePieceProcessor(model_proto=base64.b64decode(self.state, validate=True))

    @property
    def names(self) -> tuple[str, ...]:
        """Every piece but the one for the unknown."""
        return tuple(self._model.id_to_piece(number) for number in range(1, self._model.get_piece_size()))

    def split(self, text: str) -> list[str]:
        """The pieces of a text; characters never seen stand as they are."""
        return self._model.encode(text, out_type=str)

    def join(self, pieces: Sequence[str]) -> str:
        """The text of pieces."""
        return "".join(pieces).replace("\u2581", " ").strip()


def _library() -> Any:
    try:
        import sentencepiece
    except ImportError:
        raise ActlabError(
            say(
                "pieces of words are learnt by sentencepiece, which is not installed; run: pip install 'actlab[sequences]'",
                "词片由 sentencepiece 学习，但尚未安装；请运行：pip install 'actlab[sequences]'",
            )
        ) from None
    return sentencepiece
