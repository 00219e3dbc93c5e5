"""JupyterLab as ``secnb lab`` starts it."""
