"""Short lists of words that the parser's rules ask for, closed classes as far as English has them."""

from __future__ import annotations

RELATIVE = frozenset("who whom which that whose".split())
BE = frozenset("be is are was were am being been 's 're".split())
ARTICLES = frozenset("the a an his her its their this that these those each every some".split())

# A noun of amount gives way to what it is an amount of: "a bunch of birds" speaks of birds.
AMOUNTS = frozenset(
    "bunch group pair couple lot lots number row line set series piece bit slice cluster herd flock variety kind "
    "type dozen dozens hundred hundreds handful collection stack pile mound patch part side sort assortment array "
    "plenty section chunk load bundle strip bits pieces piles mass crowd bank thicket team pack swarm flight school "
    "fleet squad gang trio number half".split()
)
VESSELS = {
    **dict.fromkeys(
        "cup glass mug bowl bottle box bag basket vase jar can bucket pot pitcher tub case crate".split(), "in"
    ),
    **dict.fromkeys("plate tray platter dish".split(), "on"),
}
PICTURES = frozenset("picture photo photograph image view painting drawing map statue sculpture logo sign".split())

GARMENTS = frozenset(
    "shirt t-shirt tshirt tee hat cap pants pant trousers jeans jean shorts short dress skirt coat jacket suit "
    "sweater sweatshirt hoodie vest uniform tie necktie helmet shoe shoes sneaker boot boots sandal glove gloves "
    "sock scarf belt glasses sunglasses goggles robe gown apron bikini swimsuit costume outfit clothes clothing "
    "wetsuit jersey blouse blazer tuxedo leggings overalls beanie visor bandana mask headband kimono sweatpants "
    "slacks pajamas attire gear bonnet hood poncho veil turban".split()
)

COLOURS = frozenset(
    "black white red green blue yellow brown gray grey orange pink purple silver gold golden tan beige blonde blond "
    "teal maroon turquoise navy cream violet khaki colored colorful".split()
)
MATERIALS = frozenset(
    "wood wooden metal brick stone plastic concrete glass leather rubber steel marble stainless tile wicker iron dirt "
    "paper cement wire cloth cotton denim plaid adult baby asphalt gravel sand clay bamboo porcelain ceramic chrome "
    "aluminum bronze copper foam velvet silk wool nylon spandex polyester fleece flannel straw granite tin "
    "cardboard canvas linen lace suede".split()
)
# How an adjective is written that captions also say as a noun.
ADJECTIVES = {"wood": "wooden", "blond": "blonde"}
# Before a noun these say how many or which, not what it is like.
DETERMINERS = frozenset("many several few some other another more most both all any same such certain one".split())
SHADES = frozenset("dark light bright pale deep".split())

NUMBERS = {
    w: str(i) for i, w in enumerate("one two three four five six seven eight nine ten eleven twelve".split(), start=1)
}

# Nouns in -ing that stand after another noun without being its verb ("brick building").
ING_NOUNS = frozenset(
    "building clothing ceiling railing awning painting evening morning lighting flooring siding crossing parking "
    "landing frosting icing stuffing topping dressing marking lettering writing carving meeting wedding opening "
    "covering filling bedding seasoning paneling molding moulding trimming lining coating roofing housing tubing "
    "piping string ring wing king earring thing spring something nothing everything anything swing sling bring "
    "sibling duckling dumpling pudding engraving drawing decking fencing rigging stitching ending being".split()
)

# Past participles of place: their "by" is a place too, not the one who did it ("a car parked by a tree").
PLACED = frozenset(
    "park seat place locate position situate leave plant tie stand sit lie lay dock anchor chain".split()
)

# Words between "in/on/at (the)" and "of" that make one preposition of the three.
PLACES = frozenset(
    "front top side back middle center centre edge end bottom base corner foot rear left right inside outside face "
    "midst background foreground tip head".split()
)
# Prepositions of two words by their first, and those that have a shorter or commoner equal.
FIXED_PREPOSITIONS = {
    "next": ("to",),
    "close": ("to",),
    "out": ("of", "from"),
    "off": ("of",),
    "inside": ("of",),
    "outside": ("of",),
    "on": ("top",),
    "in": ("between",),
    "along": ("with",),
    "up": ("to",),
    "down": ("to",),
}
EQUAL_PREPOSITIONS = {
    "on top": "on top of",
    "at top of": "on top of",
    "in top of": "on top of",
    "in between": "between",
    "inside of": "inside",
    "outside of": "outside",
    "off of": "off",
    "at side of": "on side of",
    "in side of": "on side of",
    "at edge of": "on edge of",
    "at corner of": "in corner of",
    "at end of": "in end of",
}

PEOPLE = frozenset(
    "man woman boy girl person people child kid guy lady baby gentleman male female player skier surfer skateboarder "
    "snowboarder rider cyclist biker batter catcher pitcher umpire worker chef waiter officer policeman fireman farmer "
    "bride groom couple group crowd family team audience crew police driver toddler spectator pedestrian dude cowboy "
    "tourist student teenager adult human".split()
)

ANIMALS = frozenset(
    "animal dog puppy cat kitten horse pony foal cow bull calf sheep lamb goat elephant giraffe zebra bear cub bird "
    "duck goose swan pigeon seagull gull parrot owl eagle penguin deer monkey lion tiger".split()
)
# Parts of people and animals: "man hand" and "birds wings" are two things each.
BODY_PARTS = frozenset(
    "head face hair eye ear nose mouth tooth tongue chin cheek neck shoulder arm elbow wrist hand finger thumb chest "
    "belly stomach leg knee ankle foot toe body skin tail mane paw hoof horn trunk tusk wing beak feather snout fur "
    "hind legs feet hands arms eyes ears wings paws horns tusks hooves feathers fingers".split()
)
# What people do and what they are near or in doesn't: "a boy at an airport carrying a dog".
HUMAN_ACTS = frozenset(
    "hold wear carry ride read talk smile look watch eat drink play throw swing hit catch use cook cut take type write "
    "pose wave hug pet feed kick serve wait".split()
)
# Participles whose "with" or "in" names what does it: "a street covered in snow".
COVERING = frozenset("cover line".split())
# Participles that say what something is like by the noun before: "heart shaped", "school aged".
MEASURED = frozenset("age shape size color colour flavor theme style face hair".split())
COVERED = COVERING | frozenset("fill cap coat top dot".split())
# Names that begin with an adjective or a participle, and some that WordNet lacks, by their first word.
NAMES = {
    first: frozenset(rest.split(", "))
    for first, rest in {
        "hot": "dog, dog bun, dog stand, tub, sauce, chocolate, plate, pepper, pot, air balloon",
        "polar": "bear",
        "grizzly": "bear",
        "potted": "plant",
        "wet": "suit",
        "high": "chair, heel",
        "fast": "food",
        "french": "fry, toast, bread, horn, press, door",
        "mobile": "phone, home",
        "cellular": "phone",
        "remote": "control, controller",
        "digital": "camera",
        "electric": "guitar",
        "electrical": "outlet, box",
        "musical": "instrument",
        "solar": "panel",
        "grand": "piano",
        "soft": "drink, toy, serve",
        "sweet": "potato",
        "sour": "cream",
        "fried": "rice",
        "iced": "tea",
        "stained": "glass, glass window",
        "flat": "screen, screen tv, screen television, screen monitor",
        "double": "decker, decker bus",
        "rearview": "mirror",
        "rear": "view mirror",
        "first": "base",
        "second": "base",
        "third": "base",
        "home": "plate",
        "wild": "flower",
        "rubber": "duck",
        "stop": "light, sign",
        "light": "bulb, pole, post, fixture, switch, house",
        "cell": "phone",
        "street": "light, lamp",
        "ice": "cream cone, cream sandwich, cream truck",
        "cutting": "board",
        "ironing": "board",
        "parking": "lot, meter, garage, space, sign",
        "shopping": "bag, cart, center, mall",
        "swimming": "pool, trunk, trunks",
        "frying": "pan",
        "baking": "sheet, pan, dish, tray",
        "mixing": "bowl",
        "serving": "tray, dish, plate, spoon",
        "dining": "room, table, chair, area, hall, room table",
        "living": "room",
        "sitting": "room",
        "waiting": "room, area",
        "washing": "machine",
        "sewing": "machine",
        "sleeping": "bag",
        "fishing": "pole, rod, boat, net, line",
        "sailing": "boat, ship",
        "running": "shoe, shoes",
        "walking": "stick",
        "riding": "boot, boots, helmet",
        "skating": "rink",
        "rolling": "pin",
        "measuring": "cup, spoon",
        "landing": "gear, strip",
        "rocking": "chair, horse",
        "punching": "bag",
        "playing": "card",
        "drinking": "fountain, straw",
        "watering": "can, hole",
        "wedding": "cake, dress, ring",
    }.items()
}
# Names that captions write in one word and in two.
SPELLINGS = {
    "wet suit": "wetsuit",
    "snow board": "snowboard",
    "surf board": "surfboard",
    "skate board": "skateboard",
    "sun glasses": "sunglasses",
    "back pack": "backpack",
    "tooth brush": "toothbrush",
    "motor cycle": "motorcycle",
    "ice-cream": "ice cream",
}

# Verbs of moving: what looks like their particle is a preposition ("skates down a ramp").
MOTION = frozenset(
    "walk run jog hike ski skate skateboard snowboard surf sled slide climb crawl go come drive fly jump leap fall "
    "roll travel sail row paddle swim race rush march stroll wander trot gallop bike "
    "cycle hop step ride slip drift cruise "
    "glide pass speed".split()
)
# Verbs that do without an object: what follows "sits and reads" is read, not sat.
INTRANSITIVE = MOTION - {"ride", "fly", "drive", "pass", "row", "roll", "race"} | frozenset(
    "sit stand lie lay sleep nap rest wait smile laugh cry look stare kneel crouch squat lean bend dance sing pose bow "
    "float hover hang perch rise bloom glow shine graze stretch relax lounge talk chat bark sneeze yawn growl "
    "live flow tower loom lead".split()
)
# Verbs whose object is what does the next verb: "watches a child eat", "helps a girl ride a bike".
WATCHING = frozenset("watch see help let observe film photograph teach show hear".split())
ASKING = frozenset("ask tell allow want get train encourage force teach".split())
# What holds the thing named just before it, not the one who has that: "a man with a dog on a leash".
TETHERS = frozenset("leash lead string rope chain cord tripod stick skewer hook harness wheel stand".split())

# Verbs of being put somewhere that say the same as one of being there.
SEATED = {"seat": "sit"}

# What a garment is "with", where anything else is with its wearer.
TRIMMINGS = frozenset(
    "stripes stripe pattern patterns logo letters lettering collar sleeve sleeves button buttons dots spots number "
    "numbers print design writing words pocket pockets hood zipper lace flowers trim fur brim".split()
)
