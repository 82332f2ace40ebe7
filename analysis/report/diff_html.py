def write_diff_html(*a): pass
