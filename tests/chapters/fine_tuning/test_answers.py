import torch
import torch.nn.functional as F

from course_lib.chapters.fine_tuning.answers import prefixed_attention
from course_lib.device import seeded


def test_a_prefix_is_read_by_every_token_and_the_text_stays_causal():
    q, k, v = torch.randn(3, 2, 3, 4, 5, generator=seeded(0))
    keys, values = torch.randn(2, 3, 6, 5, generator=seeded(1))
    mask = torch.ones(4, 10).tril(6).bool()
    wide = [torch.cat((p.expand(2, -1, -1, -1), x), 2) for p, x in ((keys, k), (values, v))]
    expected = F.scaled_dot_product_attention(q, *wide, attn_mask=mask)
    torch.testing.assert_close(prefixed_attention(q, k, v, keys, values), expected)
