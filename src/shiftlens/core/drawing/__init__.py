"""Figures for notebooks: paper, colours and letters; what is drawn stands in each noun's room."""
