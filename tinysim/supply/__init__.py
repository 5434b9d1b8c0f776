"""What powers a device: batteries, capacitors, harvesters and converters. Pure physics; knows no network or device."""
