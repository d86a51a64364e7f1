"""Keys that some part of the way may stumble over."""

ODD_KEYS = [
    "class_07/plain.png",
    "with space.png",
    "100%.png",
    "%41%20escaped-already.png",
    "a+b.png",
    "x#y.png",
    "q?versionId=1&b=2.png",
    "quo'te\"d.png",
    "<&>.png",
    "ключ/日本語.png",
    "emoji/🍞.png",
    "decomposed-e\u0301.png",
    "line\nbreak.png",
    "semi;colon,=~!*().png",
    "ends-in-dot.",
    "🍞/" * 203 + "12345.png",  # 1,024 bytes: S3 takes no longer key
]
