"""Takes the C++ half out of a torch wheel: unpack_libtorch.py WHEEL FOLDER -> FOLDER/include, FOLDER/lib."""

import pathlib
import sys
import zipfile

NOT_NEEDED = ("_python", "_test", "backend_with_compiler", "aoti_custom_ops", "libtorch_global_deps", "libshm")


def wanted(name: str) -> bool:
    if name.startswith("torch/include/"):
        return True
    return name.startswith("torch/lib/") and ".so" in name and not any(part in name for part in NOT_NEEDED)


def main() -> None:
    wheel, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    with zipfile.ZipFile(wheel) as archive:
        for name in filter(wanted, archive.namelist()):
            target = folder / name.removeprefix("torch/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(name))


main()
