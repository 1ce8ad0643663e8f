"""Make the figures of the paper, arXiv:1508.06576."""

from drawing import sheet
from painting import ROOT, Painted, paint
from PIL import Image

PHOTO, PAINTING = "summer-palace", "village-street-in-auvers"
#: The paintings of figure 2.
PAINTINGS = ("village-street-in-auvers", "great-wave", "composition-viii", "spring", "poppies")
LAYERS = tuple(f"conv{block}_1" for block in range(1, 6))
#: From conv1_1 alone to all five layers: the style reconstructions, and the rows of figure 3.
SETS = tuple(LAYERS[:deepest] for deepest in range(1, 6))
#: The columns of figure 3: alpha / beta, and the beta that this means with an alpha of 1.
RATIOS = {"1e-5": "1e5", "1e-4": "1e4", "1e-3": "1e3", "1e-2": "1e2"}
#: The same for the normalised network, whose style losses are 1e4 to 1e9 times smaller.
NORMALIZED = {"1e-8": "1e8", "1e-7": "1e7", "1e-6": "1e6", "1e-5": "1e5"}


def _name(layers: tuple[str, ...]) -> str:
    return layers[0] if len(layers) == 1 else f"{layers[0]}\nto {layers[-1]}"


def _rebuilt(options: str) -> Painted:
    """Paint from white noise, at one size, with only one of the two terms."""
    return paint(PHOTO, PAINTING, f"-s 256 --init noise --scales 1 -n 300 {options}")


def reconstructions() -> None:
    """Figure 1: the photo from single layers, the painting from more and more layers."""
    content = [_rebuilt(f"--style-weight 0 --content-layers {layer}") for layer in LAYERS]
    style = [_rebuilt(f"--content-weight 0 --style-layers {','.join(layers)}") for layers in SETS]
    texts = [LAYERS, [_name(layers).replace("\n", " ") for layers in SETS]]
    rows = [
        [(text, part.image) for text, part in zip(said, parts, strict=True)]
        for said, parts in zip(texts, (content, style), strict=True)
    ]
    sheet("reconstructions", rows)


def paintings() -> None:
    """Figure 2: one photo with five paintings, at an alpha / beta of 1e-4."""
    parts = [paint(PHOTO, name, "-s 320 --preset paper --style-weight 1e4") for name in PAINTINGS]
    photo = Image.open(ROOT / f"contents/{PHOTO}.jpg").convert("RGB").resize(parts[0].image.size)
    pictures = [("the photo", photo)]
    pictures += [(name, part.image) for name, part in zip(PAINTINGS, parts, strict=True)]
    sheet("paintings", [pictures[:3], pictures[3:]])


def grid() -> None:
    """Figure 3: style layers against alpha / beta."""
    _grid("grid", "", RATIOS)


def grid_normalized() -> None:
    """Figure 3 with the normalised network, which is the one that the authors used."""
    _grid("grid-normalized", "--network normalized", NORMALIZED)


def _grid(name: str, network: str, ratios: dict[str, str]) -> None:
    rows = []
    for layers in SETS:
        how = f"-s 224 -n 300 --preset paper {network} --style-layers {','.join(layers)}"
        row = {
            ratio: paint(PHOTO, PAINTING, f"{how} --style-weight {beta}").image
            for ratio, beta in ratios.items()
        }
        rows.append([(ratio if layers == SETS[-1] else "", image) for ratio, image in row.items()])
    sheet(name, rows, [_name(layers) for layers in SETS])


def layer_losses() -> None:
    """Print each layer's style loss between photo and painting, plain and normalised."""
    import torch

    from stylize.images.picture import load_picture
    from stylize.network import weights
    from stylize.network.normalized import normalized
    from stylize.network.vgg import Vgg19
    from stylize.transfer.losses import mean_gram, style_loss
    from stylize.transfer.tensors import to_tensor

    oxford = weights.load("oxford")
    layers = [layer.replace("conv", "relu") for layer in LAYERS]
    files = (f"styles/{PAINTING}.jpg", (224, 168)), (f"contents/{PHOTO}.jpg", (224, 149))
    for name, numbers in (("plain", oxford), ("normalized", normalized(oxford, "avg"))):
        vgg = Vgg19(numbers, "avg", torch.device("cpu"), torch.float32)
        painting, photo = (
            vgg(to_tensor(load_picture(ROOT / file), size), layers) for file, size in files
        )
        losses = [style_loss(mean_gram(photo[at]), mean_gram(painting[at])) for at in layers]
        print(name, *(f"{at} {loss.item():.2g}" for at, loss in zip(LAYERS, losses, strict=True)))
