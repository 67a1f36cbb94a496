"""IDX, the file format of MNIST and its kin: magic, sizes, bytes. Each way a file can be wrong has its own sentence."""

import gzip
import hashlib
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from actlab._language import say
from actlab.errors import ActlabError

UNSIGNED_BYTE = 0x08  # third byte of the magic; the other types are not used for images and labels
AGAIN = ("delete it and fetch it again", "请删除后重新获取")


def read_idx(path: Path, *, dimensions: int) -> Tensor:
    """The bytes of an IDX file, gzipped or plain, in the shape its header states."""
    content = _unpack(path, _read(path))
    shape = _shape(path, content, dimensions)
    expected = 4 + 4 * dimensions + math.prod(shape)
    if len(content) < expected:
        raise fault(
            path,
            f"is truncated: its header promises {expected} bytes, it has {len(content)}",
            f"不完整：文件头声明 {expected} 字节，实际只有 {len(content)} 字节",
        )
    if len(content) > expected:
        raise fault(
            path,
            f"has {len(content) - expected} bytes too many after the data its header promises",
            f"在文件头声明的数据之后多出 {len(content) - expected} 字节",
        )
    pixels = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * dimensions).reshape(shape)
    return torch.from_numpy(pixels.copy())  # a copy, because the buffer of `bytes` must not be written to


def sha256(data: Tensor) -> str:
    """Checksum of the pixels or labels themselves: Debian's gzip files differ from upstream's in their headers, not in this."""
    return hashlib.sha256(data.contiguous().numpy().data).hexdigest()


def write_idx(path: Path, data: Tensor) -> None:
    """`data` (uint8) as a gzipped IDX file that has the same bytes whenever it is written."""
    header = bytes([0, 0, UNSIGNED_BYTE, data.ndim]) + np.array(data.shape, dtype=">u4").tobytes()
    path.write_bytes(gzip.compress(header + data.numpy().tobytes(), compresslevel=9, mtime=0))


def fault(path: Path, en: str, zh: str) -> ActlabError:
    """The sentence for a file that is there and wrong."""
    return ActlabError(say(f"'{path}' {en}; {AGAIN[0]}", f"“{path}”{zh}；{AGAIN[1]}"))


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ActlabError(
            say(
                f"expected the file '{path}', which is missing; fetch the set again",
                f"缺少文件“{path}”；请重新获取数据集",
            )
        ) from None
    except IsADirectoryError:
        raise ActlabError(
            say(f"expected a file, but '{path}' is a directory; move it away", f"“{path}”应为文件，实际是目录；请移走")
        ) from None
    except OSError as error:
        raise ActlabError(
            say(
                f"'{path}' cannot be read ({error.strerror}); check its permissions",
                f"无法读取“{path}”（{error.strerror}）；请检查权限",
            )
        ) from None
    if not content:
        raise fault(path, "is empty", "是空文件")
    return content


def _unpack(path: Path, content: bytes) -> bytes:
    if path.suffix != ".gz":
        return content
    if not content.startswith(b"\x1f\x8b"):
        raise fault(path, "is not a gzip file, although its name ends in .gz", "以 .gz 结尾，却不是 gzip 文件")
    try:
        return gzip.decompress(content)
    except EOFError:
        raise fault(path, "is truncated: the gzip stream ends too early", "不完整：gzip 数据提前结束") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise fault(path, f"is damaged: gzip says '{error}'", f"已损坏：gzip 报告“{error}”") from None


def _shape(path: Path, content: bytes, dimensions: int) -> tuple[int, ...]:
    """The sizes in the header, once the magic has been found right."""
    if content[:3] != bytes([0, 0, UNSIGNED_BYTE])[: len(content)]:
        raise fault(
            path,
            f"is not an IDX file of bytes: expected it to start with 000008, got {content[:3].hex()}",
            f"不是字节型 IDX 文件：开头应为 000008，实际为 {content[:3].hex()}",
        )
    if len(content) > 3 and content[3] != dimensions:
        raise fault(
            path,
            f"has the wrong number of dimensions: expected {dimensions}, got {content[3]}",
            f"维数不符：应为 {dimensions}，实际为 {content[3]}",
        )
    if len(content) < 4 + 4 * dimensions:
        raise fault(
            path,
            f"is truncated: its header alone takes {4 + 4 * dimensions} bytes, it has {len(content)}",
            f"不完整：仅文件头就需 {4 + 4 * dimensions} 字节，实际只有 {len(content)} 字节",
        )
    return tuple(np.frombuffer(content, dtype=">u4", count=dimensions, offset=4).tolist())
