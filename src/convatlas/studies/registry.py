"""Every study, in the order of the papers."""

from convatlas.errors import unknown
from convatlas.studies import (
    batch_norm,
    border_weight,
    c3_table,
    cardinality,
    compound_scaling,
    degradation,
    dense_evaluation,
    dense_residual,
    distortions,
    dropout_heads,
    ensembles,
    gap_shift,
    identity_path,
    inception_reduction,
    initialization,
    lrn,
    mirror_tiling,
    mlpconv,
    multipliers,
    overlapping_pooling,
    preact_orders,
    relu_tanh,
    separable,
    shortcut_options,
    side_classifiers,
    small_filters,
    squeeze_bypass,
    ten_crop,
    test_resolution,
    vanishing,
    width_depth,
)
from convatlas.studies.study import Study

STUDIES: tuple[Study, ...] = (
    c3_table.STUDY,
    distortions.STUDY,
    gap_shift.STUDY,
    vanishing.STUDY,
    relu_tanh.STUDY,
    lrn.STUDY,
    overlapping_pooling.STUDY,
    ten_crop.STUDY,
    border_weight.STUDY,
    mirror_tiling.STUDY,
    ensembles.STUDY,
    mlpconv.STUDY,
    dropout_heads.STUDY,
    initialization.STUDY,
    small_filters.STUDY,
    dense_evaluation.STUDY,
    inception_reduction.STUDY,
    side_classifiers.STUDY,
    batch_norm.STUDY,
    degradation.STUDY,
    shortcut_options.STUDY,
    identity_path.STUDY,
    preact_orders.STUDY,
    width_depth.STUDY,
    squeeze_bypass.STUDY,
    dense_residual.STUDY,
    cardinality.STUDY,
    test_resolution.STUDY,
    separable.STUDY,
    multipliers.STUDY,
    compound_scaling.STUDY,
)


def find_study(name: str) -> Study:
    """Give a study by its name.

    Raises:
        UnknownNameError: There is none; the message lists near ones.
    """
    for study in STUDIES:
        if study.name == name:
            return study
    raise unknown("study", name, [study.name for study in STUDIES])
