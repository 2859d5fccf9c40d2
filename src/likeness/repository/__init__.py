"""What is done with the repository as a whole: experiments, gates, searches, the state of the machine."""
