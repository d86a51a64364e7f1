"""The ids that an annotator gives to its projects, tasks and annotations: text, in a known order."""

PAGE_PREFIX = "page"
"""How all ids of the labelling page begin; those of Label Studio are numbers."""


def is_of_page(remote_id: str) -> bool:
    """Whether the labelling page gave this id.

    >>> is_of_page("page12"), is_of_page("p12")
    (True, False)
    """
    digits = remote_id.removeprefix(PAGE_PREFIX)
    return digits != remote_id and digits.isascii() and digits.isdigit()


def order_given(remote_id: str) -> tuple[int, str]:
    """A sort key: ids of one kind in the order in which the annotator gave them.

    The later of two is longer, or as long and sorts after, as whole numbers and ULIDs do.

    >>> sorted(["10", "9", "11"], key=order_given)
    ['9', '10', '11']
    """
    return len(remote_id), remote_id
