"""What both lanes share: params, manifests, the item store, files, runtime, tracking, figures."""
