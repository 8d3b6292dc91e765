"""Columns of the evaluation tables and their descriptions."""

_MM = {"Units": "mm"}
_ML = {"Units": "mL"}
_PERCENT = {"Units": "%"}
#: Columns that identify a pair.
KEYS = {
    "participant_id": {
        "Description": "Participant, or the file name if the folder is not a BIDS dataset"
    },
    "session_id": {"Description": "Session"},
    "model": {"Description": "Name of the model"},
}
#: Scores by which models are compared, with their descriptions.
SCORES = {
    "dice": {"Description": "Dice coefficient, 2TP / (2TP + FP + FN)"},
    "max_dice": {"Description": "Maximum Dice coefficient over thresholds of the probability (mDSC)"},
    "pr_auc": {"Description": "Area under the precision-recall curve of the probability"},
    "jaccard": {"Description": "Jaccard index, TP / (TP + FP + FN)"},
    "precision": {"Description": "TP / (TP + FP)"},
    "sensitivity": {"Description": "TP / (TP + FN)"},
    "specificity": {"Description": "TN / (TN + FP), over the entire image"},
    "accuracy": {"Description": "(TP + TN) / all voxels of the image"},
    "hd_mm": {"Description": "Hausdorff distance of the surfaces"} | _MM,
    "hd95_mm": {"Description": "Larger of the two directed 95th percentiles of the surface distance"}
    | _MM,
    "assd_mm": {"Description": "Average symmetric surface distance: mean of the two directed means"}
    | _MM,
    "asd_pooled_mm": {
        "Description": "Average surface distance, pooled over the voxels of both surfaces (Anima)"
    }
    | _MM,
    "volume_difference_ml": {"Description": "Predicted minus true volume"} | _ML,
    "absolute_volume_difference_ml": {"Description": "Absolute difference of the volumes"} | _ML,
    "relative_volume_difference": {"Description": "Predicted minus true volume, over the true volume"}
    | _PERCENT,
    "er_lv": {"Description": "Absolute error of the lesion volume over the true volume"} | _PERCENT,
    "er_ll": {
        "Description": "Absolute error of the weighted CST load over the true load, on the side with "
        "the larger true load"
    }
    | _PERCENT,
    "absolute_load_difference_ml": {
        "Description": "Absolute error of the weighted CST load, on the same side"
    }
    | _ML,
    "count_difference": {"Description": "Predicted minus true number of lesions (26-connected)"},
    "f1_anima": {
        "Description": "Lesion-wise F1 of animaSegPerfAnalyzer, lesions larger than 3 mm3, 6-connected "
        "(Commowick et al. 2018)"
    },
    "f1_10percent": {
        "Description": "Lesion-wise F1, overlap of at least 10%, lesions 6-connected (as described "
        "by Meddahi et al. 2024)"
    },
    "f1_atlas": {"Description": "Lesion-wise F1, one shared voxel, lesions 6-connected"},
    "f1_isles": {"Description": "Lesion-wise F1, one shared voxel, lesions 26-connected"},
    "rq": {
        "Description": "Recognition quality: lesion-wise F1, one-to-one matches of 26-connected "
        "lesions with an intersection over union of at least 0.25 (ISLES'26)"
    },
    "pq": {"Description": "Panoptic quality: rq times the mean intersection over union of the matches"},
}
#: Other columns of a pair.
MEASURES = {
    "true_volume_ml": {"Description": "Volume of the true mask"} | _ML,
    "predicted_volume_ml": {"Description": "Volume of the predicted mask"} | _ML,
    "true_load_ml": {
        "Description": "Weighted CST load of the true mask, on the side with the larger true load; "
        "without a true load, with the larger predicted load"
    }
    | _ML,
    "predicted_load_ml": {"Description": "Weighted CST load of the predicted mask, same side"} | _ML,
    "true_category": {"Description": "Category of true_load_ml; none for a load of 0"},
    "predicted_category": {"Description": "Category of predicted_load_ml; none for a load of 0"},
    "super_region": {"Description": "Super-region that holds most of the true lesion"},
    "tp": {"Description": "True positive voxels"},
    "fp": {"Description": "False positive voxels"},
    "fn": {"Description": "False negative voxels"},
    "tn": {"Description": "True negative voxels"},
    "unit": {
        "Description": "Independent unit of the scan for intervals and tests: the participant, or the "
        "head from which participants were simulated (participants.tsv)"
    },
    "reason": {"Description": "Reason why scores are missing or the pair could not be compared"},
    "prediction": {"Description": "File of the predicted mask"},
    "truth": {"Description": "File of the true mask"},
}
COLUMNS = KEYS | SCORES | MEASURES
LESIONS = {
    "definition": {
        "Description": "Definition of detection: f1_anima, f1_10percent, f1_atlas, f1_isles or rq"
    },
    "mask": {"Description": "truth or prediction"},
    "lesion": {"Description": "Number of the lesion in its mask"},
    "volume_ml": {"Description": "Volume of the lesion"} | _ML,
    "detected": {"Description": "Whether the other mask has a matching lesion"},
}
SUMMARY = {
    "model": KEYS["model"],
    "grouping": {"Description": "Grouping of the scans"},
    "group": {"Description": "Group of scans"},
    "score": {"Description": "Name of the score, a column of evaluation.tsv"},
    "n": {"Description": "Number of scans with the score"},
    "mean": {"Description": "Mean"},
    "median": {"Description": "Median"},
    "sd": {"Description": "Standard deviation (n - 1)"},
    "low": {"Description": "Lower limit of the 95% percentile bootstrap interval of the mean"},
    "high": {"Description": "Upper limit of that interval (1000 resamples of units)"},
    "units": {"Description": "Number of independent units of these scans"},
}
COMPARISONS = {
    "score": SUMMARY["score"],
    "a": {"Description": "First model"},
    "b": {"Description": "Second model"},
    "n": {"Description": "Number of scans with scores of both models"},
    "median_difference": {"Description": "Median of a minus b, over means of units"},
    "p": {"Description": "Wilcoxon signed-rank test over means of units, two-sided"},
    "p_holm": {"Description": "p after Holm's correction over the pairs of models"},
    "effect": {"Description": "Matched-pairs rank-biserial correlation, -1 to 1; above 0 a is larger"},
    "units": {"Description": "Number of independent units of these scans"},
    "mean_difference": {"Description": "Mean of a minus b, over scans"},
    "low": {
        "Description": "Lower limit of the 95% percentile bootstrap interval of the mean difference"
    },
    "high": {"Description": "Upper limit of that interval (1000 resamples of units)"},
}
AGREEMENT = {
    "model": KEYS["model"],
    "measure": {"Description": "volume, load, or dice_by_log10_volume"},
    "n": {"Description": "Number of scans"},
    "pearson": {"Description": "Pearson's correlation of predicted with true values"},
    "pearson_p": {"Description": "p value of Pearson's correlation over means of units"},
    "spearman": {"Description": "Spearman's rank correlation"},
    "spearman_p": {"Description": "p value of Spearman's correlation over means of units"},
    "slope": {"Description": "Slope of the least-squares line"},
    "intercept": {"Description": "Intercept of the least-squares line"},
    "r2": {"Description": "Squared correlation"},
    "units": {"Description": "Number of independent units of these scans"},
    "bias": {"Description": "Mean of predicted minus true values (Bland-Altman)"},
    "low": {"Description": "Lower 95% limit of agreement"},
    "high": {"Description": "Upper 95% limit of agreement"},
}
CATEGORIES = {
    "model": KEYS["model"],
    "true_category": MEASURES["true_category"],
    "predicted_category": MEASURES["predicted_category"],
    "n": {"Description": "Number of scans with these categories"},
    "weighted_kappa": {
        "Description": "Cohen's kappa of the model, with linear weights; n/a for a single category"
    },
}
