"""Train once for each fold, and judge every image by a model that has not seen it."""
