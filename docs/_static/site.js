// the theme gives its work to the first of two buttons, which stands in the hidden header:
// leave only the one that is seen
document.querySelectorAll('#pst-header .sidebar-toggle').forEach(button => button.remove());
