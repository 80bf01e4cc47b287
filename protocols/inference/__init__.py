"""Joint inference of a model that was trained over columns of several organisations. See docs/inference.md."""

from hansa.protocols.inference.job import Answered, InferenceSettings, ModelServed, Scored
from hansa.protocols.inference.spec import INFERENCE

__all__ = ["INFERENCE", "Answered", "InferenceSettings", "ModelServed", "Scored"]
