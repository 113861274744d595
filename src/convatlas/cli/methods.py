"""The table of methods of `convatlas visualize`: one row, one method."""

from convatlas.cli.drawing import Method

SOURCE = ("data", "split", "root", "limit")  # of methods that look at many images
ASCENT = ("steps", "rate", "decay", "blur", "jitter", "tv", "octaves", "seed")

# every method: what it shows, which file draws it, which options it takes
METHODS = {
    "gradcam": Method(
        "Grad-CAM",
        "where the evidence for a class lies (Selvaraju et al. 2017)",
        "attributions",
        "grad_cam:grad_cam",
        options=("label", "layer"),
    ),
    "gradcam++": Method(
        "Grad-CAM++",
        "the same, which counts each occurrence of an object (Chattopadhay et al. 2018)",
        "attributions",
        "grad_cam_plus_plus:grad_cam_plus_plus",
        options=("label", "layer"),
    ),
    "scorecam": Method(
        "Score-CAM",
        "the same without gradients, one pass for each map (Wang et al. 2020)",
        "attributions",
        "score_cam:score_cam",
        options=("label", "layer"),
    ),
    "cam": Method(
        "Class activation map",
        "what global average pooling adds up (Zhou et al. 2016)",
        "attributions",
        "cam:cam",
        options=("label", "layer"),
    ),
    "guided-gradcam": Method(
        "Guided Grad-CAM",
        "guided backpropagation where Grad-CAM looks (Selvaraju et al. 2017)",
        "attributions",
        "guided_grad_cam:guided_grad_cam",
        kind="signed",
        options=("label", "layer"),
    ),
    "saliency": Method(
        "Saliency",
        "which pixels change the class score most (Simonyan et al. 2013)",
        "attributions",
        "saliency:saliency",
        kind="pixels",
        options=("label",),
    ),
    "smoothgrad": Method(
        "SmoothGrad",
        "saliency, averaged over noisy copies (Smilkov et al. 2017)",
        "attributions",
        "smooth_grad:smooth_grad",
        kind="pixels",
        options=("label", "samples", "noise", "seed"),
    ),
    "integrated": Method(
        "Integrated gradients",
        "the class score shared out among the pixels (Sundararajan et al. 2017)",
        "attributions",
        "integrated_gradients:integrated_gradients",
        kind="signed",
        options=("label", "steps"),
    ),
    "guided": Method(
        "Guided backpropagation",
        "what excites the class score (Springenberg et al. 2014)",
        "attributions",
        "guided_backprop:guided_backprop",
        kind="signed",
        options=("label",),
    ),
    "deconvnet": Method(
        "Deconvnet",
        "the class score projected back to the pixels (Zeiler, Fergus 2013)",
        "attributions",
        "deconvnet:deconvnet",
        kind="signed",
        options=("label",),
    ),
    "occlusion": Method(
        "Occlusion",
        "how the score drops where a square is hidden (Zeiler, Fergus 2013)",
        "attributions",
        "occlusion:occlusion",
        kind="signed",
        options=("label", "size", "stride"),
    ),
    "filters": Method(
        "Filters",
        "what the first layer looks for (Krizhevsky et al. 2012)",
        "looks",
        options=("layer", "scaling", "parts"),
        needs_image=False,
    ),
    "activations": Method(
        "Activation maps",
        "what each map of a layer answers, and which are dead",
        "looks",
        options=("layer", "maps", *SOURCE),
    ),
    "patches": Method(
        "Maximally activating patches",
        "what excites a map most in --data (Girshick et al. 2014)",
        "patches",
        options=("layer", "maps", "count", *SOURCE),
        needs_image=False,
        one_picture=True,
    ),
    "erf": Method(
        "Effective receptive field",
        "which pixels really count (Luo et al. 2016)",
        "looks",
        options=("layer", "samples", "seed"),
        needs_image=False,
        one_picture=True,
    ),
    "maximize": Method(
        "Activation maximization",
        "an image that a class or a map finds ideal (Simonyan et al. 2013)",
        "synthesis",
        options=("label", "layer", "maps", *ASCENT),
        needs_image=False,
        one_picture=True,
    ),
    "invert": Method(
        "Feature inversion",
        "an image made of a layer's maps alone (Mahendran, Vedaldi 2015)",
        "synthesis",
        options=("layer", "steps", "tv", "seed"),
    ),
}
