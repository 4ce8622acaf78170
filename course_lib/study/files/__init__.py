"""The learner's copy of the notebooks: workspace, three-way merge, doctor."""
