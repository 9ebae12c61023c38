"""Makes the picture files that ImagesTests reads, and expected.safetensors with what Pillow sees in them.

Needs Pillow, numpy and safetensors (made with 13.0, 2.4 and 0.8): make_images.py [FOLDER]
"""

import pathlib
import sys

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

HEIGHT, WIDTH = 5, 7


def main() -> None:
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
    random = np.random.RandomState(1)
    grey = random.randint(0, 256, (HEIGHT, WIDTH)).astype(np.uint8)
    colour = random.randint(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    alpha = np.where(random.rand(HEIGHT, WIDTH) < 0.5, 0, 255).astype(np.uint8)
    smooth = np.add.outer(np.arange(16) * 8, np.arange(24) * 5).astype(np.uint8)

    Image.fromarray(grey).save(folder / "grey.png")
    Image.fromarray(colour).save(folder / "colour.png")
    Image.fromarray(np.dstack([colour, alpha])).save(folder / "alpha.png")
    Image.fromarray(colour).quantize(16).save(folder / "palette.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(folder / "grey16.png")
    Image.fromarray(grey > 127).save(folder / "bits.png")
    Image.fromarray(smooth).save(folder / "grey.jpg", quality=95)
    Image.fromarray(np.dstack([smooth, smooth[::-1], smooth[:, ::-1]])).save(folder / "colour.jpg", quality=95)
    Image.fromarray(smooth).save(folder / "progressive.jpg", quality=95, progressive=True)
    Image.fromarray(np.dstack([smooth] * 4), mode="CMYK").save(folder / "cmyk.jpg")

    expected = {}
    for path in sorted([*folder.glob("*.png"), *folder.glob("*.jpg")]):
        picture = Image.open(path)
        match path.name:
            case "alpha.png":  # every pixel is wholly there or not at all
                pixels = np.where(alpha[..., None] == 255, colour, 255)
            case "grey16.png":
                pixels = grey
            case "palette.png":
                pixels = np.asarray(picture.convert("RGB"))
            case "bits.png":
                pixels = np.asarray(picture.convert("L"))
            case _:
                pixels = np.asarray(picture)
        pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        if path.name != "cmyk.jpg":
            expected[path.name] = np.ascontiguousarray(pixels).astype(np.uint8)
    save_file(expected, folder / "expected.safetensors")


main()
