"""What a distribution of the project is built from."""

SOURCES = ["README.md", "LICENSE", "pyproject.toml", "requirements.txt", "setup.py", "app.py"]
FOLDERS = [".streamlit", "models", "roadmap", "results"]
