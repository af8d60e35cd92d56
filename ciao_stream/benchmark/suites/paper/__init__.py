"""The evidence of CIAO's paper: Tables I and II and Figure 4, with our numbers next to the published ones."""
