"""Any image-text-to-text model of transformers: loaded, addressed, hooked, prompted, read out."""
