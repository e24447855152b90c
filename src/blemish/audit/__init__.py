"""Which "good" images look least like the others: wrong labels are found among the first."""
