"""How far what is learned from one data set holds on others: trained on one, tested on all, on the classes of all."""
