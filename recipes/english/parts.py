"""A folder in parts of at most 15 MiB, and back: for ways that carry small files only.

python recipes/english/parts.py join FOLDER_OF_PARTS -o TARGET
python recipes/english/parts.py split FOLDER -o FOLDER_OF_PARTS
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path

#: Bytes of a part.
SIZE = 15 * 2**20
INDEX = "parts.json"


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("split", "join"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    if args.what == "split":
        for path in split(args.folder, args.output):
            print(path)
    else:
        print(join(args.folder, args.output))


def split(folder: Path, target: Path, size: int = SIZE) -> list[Path]:
    """Writes `folder` into `target` as parts of at most `size` bytes and an index of digests."""
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w") as tar:
        for path in sorted(folder.rglob("*")):
            tar.add(path, path.relative_to(folder).as_posix(), recursive=False)
    whole = memory.getvalue()
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob("part-*"):
        old.unlink()
    found, digests = [], {}
    for number, start in enumerate(range(0, len(whole), size)):
        path = target / f"part-{number:02}"
        path.write_bytes(whole[start : start + size])
        digests[path.name] = digest(whole[start : start + size])
        found.append(path)
    index = {"name": folder.name, "bytes": len(whole), "sha256": digest(whole), "parts": digests}
    (target / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return [*found, target / INDEX]


def join(parts: Path, target: Path) -> Path:
    """Unpacks what `split` wrote to `parts` as the folder `target`, which must not exist.

    Ends the program where a part is missing or altered, before anything is written.
    """
    if not (parts / INDEX).is_file():
        sys.exit(f"{parts}: no {INDEX} there; name the folder with the parts")
    if target.exists():
        sys.exit(f"{target}: is there already; name another folder")
    index = json.loads((parts / INDEX).read_text(encoding="utf-8"))
    whole = bytearray()
    for name, expected in index["parts"].items():
        if not (parts / name).is_file():
            sys.exit(f"{parts / name}: missing; fetch it again")
        content = (parts / name).read_bytes()
        if digest(content) != expected:
            sys.exit(f"{parts / name}: truncated or altered; fetch it again")
        whole += content
    if digest(bytes(whole)) != index["sha256"]:
        sys.exit(f"{parts}: the parts do not belong together; fetch them again")
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        tar.extractall(target, filter="data")
    return target


def digest(content: bytes) -> str:
    """SHA-256, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    main()
