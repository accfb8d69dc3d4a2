"""Word vectors for TensorBoard's embedding projector."""

from pathlib import Path

from w2v_jax.data.writing import whole_file
from w2v_jax.types import UserError
from w2v_jax.vectors.text_format import EXACT, float32
from w2v_jax.vectors.word_vectors import WordVectors
from w2v_jax.vectors.words import check

VECTORS, METADATA, CONFIG = "vectors.tsv", "metadata.tsv", "projector_config.pbtxt"


def save(folder, wv: WordVectors) -> None:
    """vectors.tsv and metadata.tsv, a word a line in both, and what names them to TensorBoard.

    `tensorboard --logdir FOLDER` shows them, or https://projector.tensorflow.org with both loaded.
    Raises UserError as the text format does.
    """
    folder = Path(folder)
    check(folder / METADATA, wv.words)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror or error}") from error
    row = "\t".join([EXACT] * wv.vectors.shape[1]) + "\n"
    with whole_file(folder / VECTORS) as file:
        for vector in float32(wv):
            file.write((row % tuple(vector.tolist())).encode())
    with whole_file(folder / METADATA) as file:
        file.write("".join(f"{word}\n" for word in wv.words).encode())
    with whole_file(folder / CONFIG) as file:
        file.write(_config(wv).encode())


def _config(wv: WordVectors) -> str:
    """The projector's own settings, in protocol buffers' text format."""
    return f"""embeddings {{
  tensor_name: "word vectors"
  tensor_path: "{VECTORS}"
  tensor_shape: {len(wv)}
  tensor_shape: {wv.vectors.shape[1]}
  metadata_path: "{METADATA}"
}}
"""
