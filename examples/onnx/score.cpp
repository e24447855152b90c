// Judge images with an exported model in C++: OpenVINO's runtime, nothing of Python or Blemish.
//
//     g++ -std=c++17 -O2 score.cpp -I $OV/include $OV/libs/libopenvino.so.* \
//         -Wl,-rpath,$OV/libs -o score
//     ./score model.onnx photo.ppm …
//
// where $OV is the folder `openvino` of the Python package, which holds headers and libraries, or
// an OpenVINO of your own. Reads model.onnx and OpenVINO's model.xml alike. Images are binary PPM,
// which needs no library: `convert photo.png photo.ppm`. A model that has `judge.py` beside it has
// zones or sees images through windows: its graph is that of a window, which this is not for.

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include <openvino/openvino.hpp>

struct Image {
    size_t height, width;
    std::vector<uint8_t> pixels;  // height × width × 3, RGB
};

Image read_ppm(const std::string& file) {
    std::ifstream stream(file, std::ios::binary);
    std::string kind;
    size_t width = 0, height = 0, highest = 0;
    stream >> kind >> width >> height >> highest;
    stream.get();  // the one blank before the pixels
    if (!stream || kind != "P6" || highest != 255 || width > 65535 || height > 65535)
        throw std::runtime_error(file + ": not a binary PPM (P6) of 8 bits without comments");
    Image image{height, width, std::vector<uint8_t>(height * width * 3)};
    stream.read(reinterpret_cast<char*>(image.pixels.data()), image.pixels.size());
    if (!stream)
        throw std::runtime_error(file + ": ends too early");
    return image;
}

int main(int count, char** words) try {
    if (count < 3)
        throw std::runtime_error("usage: score model.onnx photo.ppm ...");
    ov::Core core;
    auto network = core.compile_model(words[1], "CPU",
                                      ov::hint::inference_precision(ov::element::f32));
    auto request = network.create_infer_request();
    for (int number = 2; number < count; ++number) {
        Image image = read_ppm(words[number]);
        // Several images of one size may share a run: the first length is their number.
        ov::Tensor input(ov::element::u8, {1, image.height, image.width, 3}, image.pixels.data());
        request.set_tensor("images", input);
        request.infer();
        double score = request.get_tensor("score").data<double>()[0];
        bool defective = request.get_tensor("defective").data<char>()[0];
        const float* map = request.get_tensor("map").data<float>();
        const float* highest = std::max_element(map, map + image.height * image.width);
        size_t place = highest - map;
        std::cout << (defective ? "defective" : "good     ") << "  " << score << "  " << *highest
                  << " at " << place % image.width << "," << place / image.width << "  "
                  << words[number] << "\n";
    }
    return 0;
} catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 1;
}
