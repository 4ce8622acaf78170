# %% [markdown]
# # 17 · Multimodal
#
# **FILL: What does it answer?**
#
# FILL: Why the reader needs this, in a few sentences.
#
# After this notebook you can
# - scale a tensor by a number, and say what that keeps.
#
# About 90 minutes. FILL: what is needed; nothing is downloaded.

# %%
import torch

from course_lib import multimodal
from course_lib.study import exercise, explorers, hint, quiz, reveal, rounded

# %% [markdown]
# ## 1 · FILL: The idea
#
# FILL: Why it is needed, then a small case worked out by hand: 3 times 2 is **6**.
#
# > **Predict.** FILL: A question whose answer the next cell shows. What is 3 times −2?

# %%
for factor in (2.0, -2.0):
    print(f"3 times {factor:g}:", rounded(multimodal.scaled(torch.tensor(3.0), factor)))

# %% [markdown]
# ### Build it
#
# FILL: Say what to write.


# %%
@exercise("multimodal.scaled")
def scaled(x, factor): ...


# %% [markdown]
# Stuck? Put `hint()` in a new cell. The course's own:

# %%
reveal("multimodal.scaled")

# %% [markdown]
# ### Checked against the real thing
#
# FILL: Name the independent implementation.

# %%
x = torch.tensor([[1.0, -2.0], [0.5, 8.0]])
print("equal:", torch.equal(multimodal.scaled(x, 3.0), torch.mul(x, 3.0)))

# %% [markdown]
# ### Play with it
#
# FILL: Say what to move and what to look for.

# %%
explorers.multimodal.scaled_bars()

# %% [markdown]
# ## FILL: Wrong claims, refuted
#
# FILL: A claim that circulates, and the cell that refutes it: *a factor keeps the sum.*

# %%
print("sums:", rounded(x.sum()), rounded(multimodal.scaled(x, 2.0).sum()))

# %% [markdown]
# ## Recap
#
# 1. FILL: Five lines that say what to keep.
#
# ### Test yourself

# %%
quiz("multimodal")

# %% [markdown]
# ### Papers
# - FILL: Author, year, *title*, arXiv id.
#
# **Next:** FILL: what comes next.
