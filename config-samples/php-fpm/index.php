<?php
echo "PHP ", PHP_MAJOR_VERSION, " answers ", $_SERVER["REQUEST_METHOD"], "\n";
