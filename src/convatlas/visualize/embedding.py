"""A map on which images lie near each other that a network finds alike.

Donahue, Jia, Vinyals, Hoffman, Zhang, Tzeng, Darrell 2013, "DeCAF", section 3.2, show AlexNet's
last but one layer so (https://arxiv.org/abs/1310.1531), by t-SNE: van der Maaten, Hinton 2008,
"Visualizing Data using t-SNE". Needs scikit-learn, the extra `embedding`.
"""

import importlib
from typing import Literal

import numpy as np
import torch

from convatlas.errors import InputError, unknown

By = Literal["tsne", "umap"]
WAYS = {"tsne": ("sklearn", "embedding"), "umap": ("umap", "umap")}  # module, extra
_COMPONENTS = (
    50  # to which vectors are reduced first, as van der Maaten and Hinton do (section 4.2)
)
_NEIGHBOURS = 15  # of UMAP


def check_way(by: str) -> None:
    """Refuse a way that is unknown or not installed, before anything is computed for it."""
    if by not in WAYS:
        raise unknown("embedding", by, WAYS)
    for module, extra in dict.fromkeys((WAYS["tsne"], WAYS[by])):  # UMAP's vectors are reduced too
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise InputError(
                f"an embedding by {by} needs {module}: pip install 'convatlas[{extra}]'"
            ) from error


def embed(
    vectors: np.ndarray, *, by: By = "tsne", perplexity: float = 30.0, seed: int = 0
) -> np.ndarray:
    """Lay out vectors in the plane so that near ones stay near; far ones mean little.

    The vectors are brought to length 1 and reduced to 50 principal components. t-SNE starts from
    the first two of them, with the step length N / 48, at least 50; equal seeds give equal maps.

    Args:
        vectors: (N, D), such as `convatlas.evaluate.descriptors.describe` gives them.
        by: "tsne", or "umap" (McInnes, Healy, Melville 2018).
        perplexity: About how many neighbours an image has (t-SNE), at most (N - 1) / 3.
        seed: Of what is drawn at random.

    Returns:
        (N, 2), float64.

    Raises:
        InputError: Too few vectors for this perplexity, vectors that are not finite, or a way that
            is unknown or not installed.
    """
    check_way(by)
    _check_vectors(vectors, perplexity)
    from sklearn.decomposition import PCA

    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors.astype(np.float64) / np.maximum(lengths, np.finfo(np.float32).tiny)
    most = min(_COMPONENTS, *unit.shape)
    reduced = PCA(most, svd_solver="full").fit_transform(unit)
    if by == "umap":
        return _by_umap(reduced, seed)
    from sklearn.manifold import TSNE

    ascent = TSNE(perplexity=perplexity, init="pca", random_state=seed, n_jobs=1)
    return ascent.fit_transform(reduced).astype(np.float64)


def _by_umap(vectors: np.ndarray, seed: int) -> np.ndarray:
    umap = importlib.import_module("umap")
    near = min(_NEIGHBOURS, len(vectors) - 1)
    layout = umap.UMAP(n_neighbors=near, random_state=seed, n_jobs=1)
    return layout.fit_transform(vectors).astype(np.float64)


def on_grid(points: np.ndarray) -> np.ndarray:
    """Move each point to a cell of a square grid of its own, all together as little as possible.

    Args:
        points: (N, 2).

    Returns:
        (N, 2): cells of a grid of side ceil(sqrt(N)), whole numbers from 0.
    """
    from scipy.optimize import linear_sum_assignment  # scikit-learn brings it
    from scipy.spatial.distance import cdist

    side = int(np.ceil(np.sqrt(len(points))))
    cells = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)
    spread = np.maximum(np.ptp(points, axis=0), np.finfo(np.float64).tiny)
    within = (points - points.min(axis=0)) / spread * (side - 1)
    _, chosen = linear_sum_assignment(cdist(within, cells, "sqeuclidean"))
    return cells[chosen]


def agreement(points: np.ndarray, labels: np.ndarray, count: int = 10) -> float:
    """Give the share of the nearest neighbours of each point that are of its class.

    Args:
        points: (N, D).
        labels: (N,).
        count: Neighbours of each, fewer where there are fewer.
    """
    if len(points) < 2:
        raise InputError("a point alone has no neighbours")
    apart = torch.cdist(torch.tensor(points).double(), torch.tensor(points).double())
    apart.fill_diagonal_(torch.inf)
    near = apart.topk(min(count, len(points) - 1), largest=False).indices.numpy()
    return float((labels[near] == labels[:, None]).mean())


def _check_vectors(vectors: np.ndarray, perplexity: float) -> None:
    if vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise InputError(f"an embedding is of finite vectors (N, D); got {vectors.shape}")
    if not 1 <= perplexity <= (len(vectors) - 1) / 3:
        raise InputError(
            f"a perplexity of {perplexity:g} does not fit {len(vectors)} images: from 1 to "
            f"{(len(vectors) - 1) / 3:.4g}, a third of the others"
        )
