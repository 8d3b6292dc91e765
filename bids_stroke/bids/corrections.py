"""Names and sidecars of corrected lesion masks, which raters draw in the browser."""

from .names import derivative

#: Value of the ``desc`` entity of corrected lesion masks.
DESC = "corrected"

#: Keys of the sidecar of a corrected mask: name of the rater; date and time of saving (ISO 8601); file
#: name, shape and affine of the reference image; model of the session, and checksum of its weights;
#: file name and checksum of the mask that was corrected; program and version.
RATER = "Rater"
DATE = "Date"
REFERENCE_IMAGE = "ReferenceImage"
REFERENCE_SHAPE = "ReferenceShape"
REFERENCE_AFFINE = "ReferenceAffine"
MODEL = "Model"
MODEL_IDENTITY = "ModelIdentity"
SOURCE_MASK = "SourceMask"
SOURCE_MASK_SHA256 = "SourceMaskSHA256"
SOFTWARE = "Software"


def corrected_mask_name(session_name: str, reference: str) -> str:
    """Return the file name of the corrected mask of a session.

    Parameters
    ----------
    session_name : str
    reference : str
        Contrast of the reference image, on whose grid the mask is.

    >>> corrected_mask_name("sub-01_ses-a", "T1w")
    'sub-01_ses-a_space-T1w_label-L_desc-corrected_mask.nii.gz'
    """
    return derivative(session_name, "mask", space=reference, label="L", desc=DESC)
