"""Item vectors as they are kept: float32, float16 or int8, read as float32 by row."""

from funnel.vectors.item_vectors import FORMS, Form, ItemVectors, Stored

__all__ = ["FORMS", "Form", "ItemVectors", "Stored"]
