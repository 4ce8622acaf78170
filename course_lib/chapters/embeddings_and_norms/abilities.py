"""What this chapter leaves you able to do."""

from course_lib.study.record.ability import ability

ABILITIES = (
    ability(
        "embeddings_and_norms",
        "say what an embedding table is, what a lookup costs, and what fraction of a model it is",
        exercises="embed tied_logits",
        questions="cost_of_a_lookup gradient_of_a_table share_of_the_table what_tying_means",
    ),
    ability(
        "embeddings_and_norms",
        "write LayerNorm and RMSNorm so that they agree with the released models, say why each "
        "detail is there, and derive the gradient of RMSNorm",
        exercises="layer_norm rms_norm rms_norm_backward",
        questions="rms_by_hand layer_norm_by_hand where_eps_stands rms_and_layer rms_in_half "
        "variance_bug",
    ),
    ability(
        "embeddings_and_norms",
        "explain why BatchNorm does not suit language models, and why the other two do",
        exercises="batch_statistics",
        questions="batch_norm_and_padding batch_norm_in_language_models",
    ),
    ability(
        "embeddings_and_norms",
        "convert a post-norm block to a pre-norm block, and predict what happens to the residual "
        "stream and its gradient through 64 layers",
        exercises="pre_norm",
        questions="why_pre_norm residual_bug",
    ),
)
