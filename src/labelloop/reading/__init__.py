"""What an application wrote -> predictions and feedback. One set of rules; pure."""
