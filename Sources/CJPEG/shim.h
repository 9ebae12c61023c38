#include <stdio.h> // jpeglib.h needs FILE before it
#include <jpeglib.h>
