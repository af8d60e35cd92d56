"""How well a task was learned: scores, answers in detail, and transfer between tasks."""
