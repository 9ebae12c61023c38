// Empty on purpose: libtorch is C++ and is included by CTorch alone. This module carries its search paths and libraries.
