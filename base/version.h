/* version: the one place that says which Sluice this is. */
#ifndef SL_BASE_VERSION_H
#define SL_BASE_VERSION_H

#define SLUICE_VERSION "0.1.0"

#endif
